#include "core/parse.hpp"

#include <doctest/doctest.h>

TEST_CASE("parse: a number and nothing else") {
  CHECK(flare::parse_number("0") == 0);
  CHECK(flare::parse_number("18446744073709551615") == ~0ULL);
  for (const char* word : {"", "max", "12 ", "-1", "0x10", "18446744073709551616"}) {
    CHECK(!flare::parse_number(word));
  }
}
