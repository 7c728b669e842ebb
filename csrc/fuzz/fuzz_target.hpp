// What a fuzz target offers, and what whoever drives it offers in turn; the names are libFuzzer's.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

/// Reads one input. Returns 0; dies if the code under test is wrong.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Changes data [size] in place, within max_size bytes; the same for the same seed and data.
/// Returns the new size.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned int seed);

/// The driver's own mutation of bytes.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
}
