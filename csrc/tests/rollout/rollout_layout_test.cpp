#include "rollout/rollout_layout.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "core/error.hpp"
#include "core/shared_memory.hpp"

using flare::ArraySpec;
using flare::RolloutHeader;
using flare::RolloutLayout;
using flare::SharedMemory;
using flare::SharedMemoryError;

namespace {

const std::vector<ArraySpec> kSpecs{{"frames", "|u1", 1, {3, 2, 5000}},
                                    {"facts", "{'names': []}", 24, {3, 2}},
                                    {"rewards", "<f4", 4, {2, 2}}};

}  // namespace

TEST_CASE("rollout layout: arrays are aligned, apart, and inside the memory") {
  const RolloutLayout layout(kSpecs, 2);
  std::size_t end = layout.slots_offset() + 2 * sizeof(flare::Slot);
  for (const auto& array : layout.arrays()) {
    CHECK(array.offset >= end);
    CHECK(array.offset % (array.spec.bytes() >= 4096 ? 4096 : 64) == 0);
    end = array.offset + array.spec.bytes();
  }
  CHECK(end <= layout.total_bytes());
  CHECK(layout.find("rewards").spec.bytes() == 16);
  CHECK_THROWS_WITH_AS((void)layout.find("obs"), doctest::Contains("frames, facts, rewards"),
                       flare::StateError);
}

TEST_CASE("rollout layout: what is written is what is read") {
  const RolloutLayout layout(kSpecs, 2);
  const SharedMemory memory = SharedMemory::create(layout.total_bytes());
  layout.write(memory.data(), 5);
  const RolloutLayout read = RolloutLayout::read(memory.data(), memory.size());
  CHECK(read.num_envs() == 2);
  CHECK(read.total_bytes() == layout.total_bytes());
  REQUIRE(read.arrays().size() == kSpecs.size());
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    CHECK(read.arrays()[i].offset == layout.arrays()[i].offset);
    CHECK(read.arrays()[i].spec.name == kSpecs[i].name);
    CHECK(read.arrays()[i].spec.dtype == kSpecs[i].dtype);
    CHECK(read.arrays()[i].spec.item_bytes == kSpecs[i].item_bytes);
    CHECK(read.arrays()[i].spec.shape == kSpecs[i].shape);
  }
}

TEST_CASE("rollout layout: specs that cannot be placed are refused") {
  CHECK_THROWS_AS(RolloutLayout({}, 2), flare::ShapeError);
  CHECK_THROWS_AS(RolloutLayout(kSpecs, 0), flare::ShapeError);
  CHECK_THROWS_AS(RolloutLayout({kSpecs[0], kSpecs[0]}, 2), flare::ShapeError);
  const ArraySpec huge{"huge", "|u1", 1, {~0ULL - 10}};
  CHECK_THROWS_AS(RolloutLayout({huge, kSpecs[0]}, 2), flare::ShapeError);
}

TEST_CASE(
    "rollout layout: every damaged word of the header or the table is refused, not followed") {
  const RolloutLayout layout(kSpecs, 2);
  const SharedMemory memory = SharedMemory::create(layout.total_bytes());
  CHECK_THROWS_AS(RolloutLayout::read(memory.data(), memory.size()), SharedMemoryError);
  CHECK_THROWS_AS(RolloutLayout::read(memory.data(), 64), SharedMemoryError);
  for (std::size_t at = 0; at + 8 <= layout.slots_offset(); at += 8) {
    layout.write(memory.data(), 5);
    std::memset(memory.data() + at, 0xFF, 8);
    try {
      const RolloutLayout read = RolloutLayout::read(memory.data(), memory.size());
      for (const auto& array : read.arrays()) {
        CHECK(array.offset + array.spec.bytes() <= memory.size());
      }
    } catch (const flare::FlareError&) {
      continue;  // refused; a word that means no place may also pass
    }
  }
}
