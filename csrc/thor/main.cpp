// flare-thor: a simulator that the client of AI2-THOR starts and drives in place of Unity.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "thor/server.hpp"

namespace {

using namespace flare::thor;

constexpr const char* kUsage =
    "usage: flare-thor [options] [Unity's options]\n"
    "Started by ai2thor.controller.Controller(local_executable_path=...), which names the pipes "
    "to\n"
    "speak over in AI2THOR_FIFO_SERVER_PIPE_PATH and AI2THOR_FIFO_CLIENT_PIPE_PATH.\n"
    "  --assets PACK             draw the meshes of this pack (flare assets build)\n"
    "  --rgba                    frames with four channels, as CloudRendering sends\n"
    "  --exact-crop              draw the middle that the original keeps (384 of 396 columns) by\n"
    "                            itself, equal to the embedded world's frames to the last bit\n"
    "  --create-house-delay S    CreateHouse takes S seconds longer, as Unity's asset loading "
    "does\n"
    "  --frame-delay S           a reply with images takes S seconds longer, as Unity's drawing "
    "does\n"
    "  --devices N               only the devices 0 to N-1 of -force-device-index exist\n"
    "  --fault KIND@ACTION[:N][=TEXT]\n"
    "                            exit, abort, hang, truncate, garbage or leak in the Nth such "
    "action\n"
    "                            and each after it (whose message holds TEXT); ACTION may be "
    "start\n";

struct CommandLine {
  Options options;
  std::vector<Fault> faults;
  int width = 300, height = 300;
  int devices = -1;
};

double number_of(const std::string& option, const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0.0) {
    throw std::invalid_argument(option + ": '" + text + "' is no number from 0");
  }
  return value;
}

CommandLine parse(const std::vector<std::string>& words) {
  CommandLine line;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& option = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw std::invalid_argument(option + " needs a value");
      return words[++i];
    };
    if (option == "--assets") {
      line.options.assets = value();
    } else if (option == "--rgba") {
      line.options.is_rgba = true;
    } else if (option == "--exact-crop") {
      line.options.is_exact_crop = true;
    } else if (option == "--create-house-delay") {
      line.options.create_house_delay = number_of(option, value());
    } else if (option == "--frame-delay") {
      line.options.frame_delay = number_of(option, value());
    } else if (option == "--fault") {
      line.faults.push_back(parse_fault(value()));
    } else if (option == "--devices") {
      line.devices = static_cast<int>(number_of(option, value()));
    } else if (option == "-screen-width") {
      line.width = static_cast<int>(number_of(option, value()));
    } else if (option == "-screen-height") {
      line.height = static_cast<int>(number_of(option, value()));
    } else if (option == "-force-device-index") {
      line.options.device = static_cast<int>(number_of(option, value()));
    } else if (option == "-screen-fullscreen" || option == "-screen-quality") {
      (void)value();  // there is one way to draw
    } else if (option != "-batchmode" && option != "-nographics" && option != "-force-glcore") {
      throw std::invalid_argument("there is no option " + option);
    }
  }
  return line;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') {
    throw std::invalid_argument(std::string(name) + " is not set");
  }
  return value;
}

int run(const std::vector<std::string>& words) {
  CommandLine line = parse(words);
  if (line.devices >= 0 && line.options.device >= line.devices) {
    std::cerr << "flare-thor: device " << line.options.device << " is lost\n";
    return 1;
  }
  const std::string server_path = environment("AI2THOR_FIFO_SERVER_PIPE_PATH");
  const std::string client_path = environment("AI2THOR_FIFO_CLIENT_PIPE_PATH");
  Simulator simulator(line.options, line.width, line.height);
  Server server(simulator, std::move(line.faults));
  server.serve(server_path, client_path);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // It ends with whoever started it, however that ends; a parent that is gone already is seen by
  // the end of its pipes.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
    std::cout << kUsage;
    return 0;
  }
  try {
    return run(words);
  } catch (const std::invalid_argument& error) {
    std::cerr << "flare-thor: " << error.what() << "\n" << kUsage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "flare-thor: " << error.what() << "\n";
    return 1;
  }
}
