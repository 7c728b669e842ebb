#include "thor/msgpack_writer.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

using flare::thor::MsgpackWriter;
using nlohmann::json;

TEST_CASE("what is written is read back by another implementation") {
  MsgpackWriter out;
  out.map(9);
  out.entry("float", 0.25F);
  out.entry("double", 0.1);
  out.entry("yes", true);
  out.entry("small", 7);
  out.entry("large", 70'000);
  out.entry("negative", -3);
  out.entry("text", std::string(300, 'x'));
  out.entry("point", flare::Vec3{1.0F, 2.0F, 3.0F});
  out.entry_nil("nothing");
  const json read = json::from_msgpack(out.bytes().begin(), out.bytes().end());
  const json expected = {{"float", 0.25},
                         {"double", 0.1},
                         {"yes", true},
                         {"small", 7},
                         {"large", 70'000},
                         {"negative", -3},
                         {"text", std::string(300, 'x')},
                         {"point", {{"x", 1.0}, {"y", 2.0}, {"z", 3.0}}},
                         {"nothing", nullptr}};
  CHECK(read == expected);
}

TEST_CASE("lists and maps of any length keep their count") {
  for (const std::size_t count : {0U, 15U, 16U, 65'535U, 65'536U}) {
    MsgpackWriter out;
    out.list(count);
    for (std::size_t i = 0; i < count; ++i) out.nil();
    CHECK(json::from_msgpack(out.bytes().begin(), out.bytes().end()).size() == count);
    out.clear();
    out.map(count);
    for (std::size_t i = 0; i < count; ++i) out.entry_nil(std::to_string(i));
    CHECK(json::from_msgpack(out.bytes().begin(), out.bytes().end()).size() == count);
  }
}
