#include "core/thread_pool.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

TEST_CASE("thread pool: every index runs once, for any number of threads and calls") {
  for (const int threads : {1, 2, 5}) {
    flare::ThreadPool pool(threads);
    for (int call = 0; call < 50; ++call) {
      std::vector<int> hits(97, 0);
      pool.parallel_for(hits.size(), [&](std::size_t i, int) { ++hits[i]; });
      for (const int hit : hits) CHECK(hit == 1);
    }
  }
}

TEST_CASE("thread pool: the first exception of a body reaches the caller and the pool lives on") {
  flare::ThreadPool pool(3);
  CHECK_THROWS_AS(pool.parallel_for(8,
                                    [](std::size_t i, int) {
                                      if (i == 3) throw std::runtime_error("three");
                                    }),
                  std::runtime_error);
  int sum = 0;
  pool.parallel_for(1, [&](std::size_t, int) { sum = 7; });
  CHECK(sum == 7);
}
