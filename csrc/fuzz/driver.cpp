// Runs a fuzz target without libFuzzer: every file of the corpus as it is, then mutations of them.
// The same seed gives the same inputs on every machine. An input that a target dies of is left in
// crash-input of the current folder.
//
//   fuzz_house [-runs=N] [-max_total_time=S] [-seed=S] [-max_len=B] file-or-folder...
//
// Without -runs and -max_total_time the files are only replayed. Other options are libFuzzer's and
// are passed over.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.hpp"
#include "fuzz/fuzz_target.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Options {
  std::uint64_t runs = 0;
  std::uint64_t seconds = 0;
  std::uint64_t seed = 1;
  std::size_t max_len = 65536;
  std::vector<std::filesystem::path> inputs;
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto equals = word.find('=');
    if (!word.starts_with('-')) {
      options.inputs.emplace_back(word);
    } else if (equals != std::string_view::npos) {
      const std::uint64_t value = std::strtoull(argv[i] + equals + 1, nullptr, 10);
      const std::string_view name = word.substr(1, equals - 1);
      if (name == "runs") options.runs = value;
      if (name == "max_total_time") options.seconds = value;
      if (name == "seed") options.seed = value;
      if (name == "max_len") options.max_len = value;
    }
  }
  return options;
}

/// Contents of the files and of the files of the folders, in the order of their names.
std::vector<Bytes> read_corpus(const std::vector<std::filesystem::path>& inputs) {
  std::vector<std::filesystem::path> files;
  for (const auto& input : inputs) {
    if (std::filesystem::is_directory(input)) {
      for (const auto& entry : std::filesystem::directory_iterator(input)) files.push_back(entry);
    } else {
      files.push_back(input);
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<Bytes> corpus;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

void run(const Bytes& input) {
  // Written before, removed by the next: what is there after a death is the cause.
  std::ofstream("crash-input", std::ios::binary)
      .write(reinterpret_cast<const char*>(input.data()),
             static_cast<std::streamsize>(input.size()));
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

/// A few bytes changed, put in, taken out or repeated; what libFuzzer offers a custom mutator.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size) {
  static std::uint64_t calls = 0;
  const std::uint64_t call = calls++;
  const auto draw = [&](std::uint64_t word) { return flare::keyed_bits(call, size, word, 0, 0); };
  for (std::uint64_t k = 0; k < 1 + draw(0) % 4; ++k) {
    const std::size_t at = size > 0 ? draw(10 * k + 1) % size : 0;
    const std::size_t count = 1 + draw(10 * k + 2) % 8;
    const std::uint64_t kind = draw(10 * k + 3) % 4;
    if (kind == 0 && size + count <= max_size) {
      std::copy_backward(data + at, data + size, data + size + count);
      for (std::size_t i = 0; i < count; ++i) {
        data[at + i] = static_cast<std::uint8_t>(draw(100 * k + 10 + i));
      }
      size += count;
    } else if (kind == 1 && size > at + count) {
      std::copy(data + at + count, data + size, data + at);
      size -= count;
    } else if (kind == 2 && size > 0) {
      data[at] ^= static_cast<std::uint8_t>(1U << (draw(10 * k + 4) % 8));
    } else if (size > 0) {
      data[at] = static_cast<std::uint8_t>(draw(10 * k + 5));
    }
  }
  return size;
}

int main(int argc, char** argv) {
  const Options options = options_of(argc, argv);
  std::vector<Bytes> corpus = read_corpus(options.inputs);
  if (corpus.empty()) {
    std::fprintf(stderr, "no inputs; name the files or folders to run\n");
    return 2;
  }
  for (const Bytes& input : corpus) run(input);
  const auto start = std::chrono::steady_clock::now();
  const auto is_over = [&](std::uint64_t done) {
    if (options.seconds == 0) return done >= options.runs;
    return std::chrono::steady_clock::now() - start >= std::chrono::seconds(options.seconds);
  };
  std::uint64_t done = 0;
  Bytes input;
  for (; !is_over(done); ++done) {
    const std::uint64_t bits = flare::keyed_bits(options.seed, done, 0, 0, 0);
    const Bytes& origin = corpus[bits % corpus.size()];
    input.assign(origin.begin(), origin.end());
    const std::size_t size = input.size();
    input.resize(std::max(size, options.max_len));
    input.resize(LLVMFuzzerCustomMutator(input.data(), size, input.size(),
                                         static_cast<unsigned int>(bits >> 32U)));
    run(input);
  }
  std::filesystem::remove("crash-input");
  std::printf("%zu files and %llu mutations of them: no crash\n", corpus.size(),
              static_cast<unsigned long long>(done));
  return 0;
}
