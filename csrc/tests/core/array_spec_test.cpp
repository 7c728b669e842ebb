#include "core/array_spec.hpp"

#include <doctest/doctest.h>

#include "core/error.hpp"

using flare::ArraySpec;

TEST_CASE("array spec: bytes are the product of shape and element") {
  CHECK(ArraySpec{"a", "<f4", 4, {3, 5}}.bytes() == 60);
  CHECK(ArraySpec{"a", "<f8", 8, {}}.bytes() == 8);
  CHECK(ArraySpec{"a", "|u1", 1, {7, 0}}.bytes() == 0);
  CHECK_THROWS_AS((void)ArraySpec({"a", "|u1", 1, {1ULL << 40U, 1ULL << 40U}}).bytes(),
                  flare::ShapeError);
}

TEST_CASE("array spec: names, ranks and dtypes that cannot be are refused") {
  CHECK_NOTHROW(ArraySpec{"log_prob2", "<f4", 4, {1}}.validate());
  CHECK_NOTHROW(ArraySpec{"facts", "{'names': ['a']}", 24, {1}}.validate());
  for (const char* name : {"", "2a", "a b", "a/b"}) {
    CHECK_THROWS_AS((ArraySpec{name, "<f4", 4, {1}}.validate()), flare::ShapeError);
  }
  CHECK_THROWS_AS((ArraySpec{std::string(64, 'a'), "<f4", 4, {1}}.validate()), flare::ShapeError);
  CHECK_THROWS_AS((ArraySpec{"a", "<f4", 4, std::vector<std::size_t>(9, 1)}.validate()),
                  flare::ShapeError);
  CHECK_THROWS_AS((ArraySpec{"a", "<f4", 8, {1}}.validate()), flare::DtypeError);
  CHECK_THROWS_AS((ArraySpec{"a", "", 4, {1}}.validate()), flare::DtypeError);
  CHECK_THROWS_AS((ArraySpec{"a", "<f4", 0, {1}}.validate()), flare::DtypeError);
}
