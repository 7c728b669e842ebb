#include "rollout/rollout_layout.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <span>

#include "core/error.hpp"
#include "rollout/process_watch.hpp"

namespace flare {
namespace {

constexpr std::size_t kPage = 4096;

/// One row of the array table, right after the header.
struct ArrayRecord {
  std::array<char, ArraySpec::kMaxNameBytes + 1> name;
  std::uint64_t item_bytes;
  std::uint64_t rank;
  std::array<std::uint64_t, ArraySpec::kMaxRank> shape;
  std::uint64_t offset;
  std::uint64_t dtype_begin;  // within the texts
  std::uint64_t dtype_bytes;
};

/// The next multiple of `alignment` after `offset`. @throws ShapeError on overflow.
std::size_t align(std::size_t offset, std::size_t alignment) {
  if (offset > std::numeric_limits<std::size_t>::max() - alignment) {
    throw ShapeError("the arrays together do not fit 64 bits of bytes");
  }
  return (offset + alignment - 1) / alignment * alignment;
}

void check_specs(const std::vector<ArraySpec>& specs, std::size_t num_envs) {
  if (specs.empty()) throw ShapeError("a rollout buffer needs at least one array");
  if (num_envs == 0 || num_envs > std::numeric_limits<std::uint32_t>::max()) {
    throw ShapeError("a rollout buffer needs 1 to 2^32 - 1 environments, got " +
                     std::to_string(num_envs));
  }
  for (auto spec = specs.begin(); spec != specs.end(); ++spec) {
    spec->validate();
    if (std::any_of(specs.begin(), spec, [&](const auto& s) { return s.name == spec->name; })) {
      throw ShapeError("two arrays are named '" + spec->name + "'");
    }
  }
}

[[noreturn]] void reject(const std::string& why) {
  throw SharedMemoryError("this memory is not a rollout buffer that can be attached: " + why);
}

/// Whether [offset, offset + bytes) lies in [0, limit), without overflow.
bool fits(std::uint64_t offset, std::uint64_t bytes, std::uint64_t limit) {
  return offset <= limit && bytes <= limit - offset;
}

PlacedArray read_record(const ArrayRecord& record, std::span<const char> texts,
                        std::uint64_t total) {
  if (record.rank > ArraySpec::kMaxRank || record.name.back() != '\0' ||
      !fits(record.dtype_begin, record.dtype_bytes, texts.size())) {
    reject("its array table is damaged");
  }
  const auto text = texts.subspan(record.dtype_begin, record.dtype_bytes);
  PlacedArray placed{{record.name.data(),
                      std::string(text.begin(), text.end()),
                      record.item_bytes,
                      {record.shape.begin(), record.shape.begin() + record.rank}},
                     record.offset};
  placed.spec.validate();
  if (!fits(placed.offset, placed.spec.bytes(), total) || placed.offset % kCacheLine != 0) {
    reject("array '" + placed.spec.name + "' lies outside of it");
  }
  return placed;
}

}  // namespace

RolloutLayout::RolloutLayout(const std::vector<ArraySpec>& specs, std::size_t num_envs)
    : num_envs_(num_envs) {
  check_specs(specs, num_envs);
  texts_offset_ = sizeof(RolloutHeader) + specs.size() * sizeof(ArrayRecord);
  for (const ArraySpec& spec : specs) texts_bytes_ += spec.dtype.size();
  slots_offset_ = align(texts_offset_ + texts_bytes_, 2 * kCacheLine);
  std::size_t end = slots_offset_ + num_envs * sizeof(Slot);
  for (const ArraySpec& spec : specs) {
    const std::size_t bytes = spec.bytes();
    // Large arrays start a page: they may then be registered with a GPU or advised as a whole.
    const std::size_t offset = align(end, bytes >= kPage ? kPage : kCacheLine);
    arrays_.push_back({spec, offset});
    if (bytes > std::numeric_limits<std::size_t>::max() - offset) {
      throw ShapeError("the arrays together do not fit 64 bits of bytes");
    }
    end = offset + bytes;
  }
  total_bytes_ = align(end, kPage);
}

void RolloutLayout::write(std::byte* memory, std::uint64_t token) const {
  auto* header = new (memory) RolloutHeader{};
  const ProcessId owner = identify_process(getpid());
  header->version = kVersion;
  header->num_envs = static_cast<std::uint32_t>(num_envs_);
  header->total_bytes = total_bytes_;
  header->token = token;
  header->num_arrays = arrays_.size();
  header->texts_offset = texts_offset_;
  header->texts_bytes = texts_bytes_;
  header->slots_offset = slots_offset_;
  header->owner_pid = owner.pid;
  header->owner_start_time = owner.start_time;

  std::byte* record_at = memory + sizeof(RolloutHeader);
  std::size_t text_begin = 0;
  for (const PlacedArray& array : arrays_) {
    auto* record = new (record_at) ArrayRecord{};
    std::copy(array.spec.name.begin(), array.spec.name.end(), record->name.begin());
    record->item_bytes = array.spec.item_bytes;
    record->rank = array.spec.shape.size();
    std::copy(array.spec.shape.begin(), array.spec.shape.end(), record->shape.begin());
    record->offset = array.offset;
    record->dtype_begin = text_begin;
    record->dtype_bytes = array.spec.dtype.size();
    std::memcpy(memory + texts_offset_ + text_begin, array.spec.dtype.data(),
                array.spec.dtype.size());
    text_begin += array.spec.dtype.size();
    record_at += sizeof(ArrayRecord);
  }
  for (std::size_t env = 0; env < num_envs_; ++env) {
    new (memory + slots_offset_ + env * sizeof(Slot)) Slot{};
  }
  // Last, and released: who sees the magic number sees everything before it.
  std::atomic_ref(header->magic).store(kMagic, std::memory_order_release);
}

RolloutLayout RolloutLayout::read(const std::byte* memory, std::size_t bytes) {
  if (bytes < sizeof(RolloutHeader)) reject("it is too small");
  auto* header = std::launder(reinterpret_cast<RolloutHeader*>(const_cast<std::byte*>(memory)));
  if (std::atomic_ref(header->magic).load(std::memory_order_acquire) != kMagic) {
    reject("its first bytes are not those of one");
  }
  if (header->version != kVersion) {
    reject("it has layout version " + std::to_string(header->version) + ", this program reads " +
           std::to_string(kVersion) + "; run the same flare on both sides");
  }
  const std::uint64_t total = header->total_bytes;
  const std::uint64_t records = header->num_arrays;
  if (total > bytes || header->num_envs == 0 || records == 0 ||
      records > total / sizeof(ArrayRecord) ||
      !fits(sizeof(RolloutHeader), records * sizeof(ArrayRecord), header->texts_offset) ||
      !fits(header->texts_offset, header->texts_bytes, header->slots_offset) ||
      header->slots_offset % kCacheLine != 0 ||
      !fits(header->slots_offset, header->num_envs * sizeof(Slot), total)) {
    reject("its header is damaged");
  }
  RolloutLayout layout;
  layout.num_envs_ = header->num_envs;
  layout.texts_offset_ = header->texts_offset;
  layout.texts_bytes_ = header->texts_bytes;
  layout.slots_offset_ = header->slots_offset;
  layout.total_bytes_ = total;
  const std::span texts(reinterpret_cast<const char*>(memory + header->texts_offset),
                        header->texts_bytes);
  const auto* table =
      std::launder(reinterpret_cast<const ArrayRecord*>(memory + sizeof(RolloutHeader)));
  for (const ArrayRecord& record : std::span(table, records)) {
    layout.arrays_.push_back(read_record(record, texts, total));
  }
  return layout;
}

const PlacedArray& RolloutLayout::find(const std::string& name) const {
  std::string known;
  for (const PlacedArray& array : arrays_) {
    if (array.spec.name == name) return array;
    known += (known.empty() ? "" : ", ") + array.spec.name;
  }
  throw StateError("the rollout buffer has no array '" + name + "'; it has " + known);
}

}  // namespace flare
