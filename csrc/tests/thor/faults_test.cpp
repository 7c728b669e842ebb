#include "thor/faults.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using namespace flare::thor;

TEST_CASE("a fault is read from its text") {
  const Fault fault = parse_fault("hang@CreateHouse:5=room|7");
  CHECK(fault.kind == FaultKind::kHang);
  CHECK(fault.action == "CreateHouse");
  CHECK(fault.occurrence == 5);
  CHECK(fault.text == "room|7");
  CHECK(parse_fault("exit@start").occurrence == 1);
}

TEST_CASE("what is no fault is refused") {
  for (const char* text : {"hang", "burn@Pass", "hang@Pass:0", "hang@Pass:x", "hang@Pass:1x"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_fault(text), std::invalid_argument);
  }
}

TEST_CASE("a fault is due from its occurrence on, in messages that hold its text") {
  FaultPlan plan({parse_fault("garbage@Pass:2=deep")});
  CHECK_FALSE(plan.next("Pass", "deep"));
  CHECK_FALSE(plan.next("Reset", "deep"));
  CHECK_FALSE(plan.next("Pass", "shallow"));
  CHECK(plan.next("Pass", "deep") == FaultKind::kGarbage);
  CHECK(plan.next("Pass", "deep") == FaultKind::kGarbage);
}
