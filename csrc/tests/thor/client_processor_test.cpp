#include "thor/client_processor.hpp"

#include <doctest/doctest.h>
#include <sched.h>

#include <fstream>
#include <sstream>
#include <string>

using namespace flare::thor;

TEST_CASE("the processor is the 39th field, whatever the process is called") {
  std::string fields = " S";
  for (int field = 4; field < 39; ++field) fields += " " + std::to_string(1000 + field);
  CHECK(processor_of("12 (python)" + fields + " 5 0 0") == 5);
  CHECK(processor_of("12 (a) b (c 7))" + fields + " 63\n") == 63);
  CHECK(processor_of("12 (python)" + fields) == -1);
  CHECK(processor_of("12 (python)" + fields + " five 0") == -1);
  CHECK(processor_of("") == -1);
}

TEST_CASE("the kernel's own text tells a processor that this process may use") {
  std::ifstream file("/proc/self/stat");
  std::ostringstream text;
  text << file.rdbuf();
  cpu_set_t allowed;
  REQUIRE(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
  CHECK(CPU_ISSET(processor_of(text.str()), &allowed));
}
