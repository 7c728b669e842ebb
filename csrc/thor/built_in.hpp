// Data files of the package that the program carries in itself: it is one file that runs anywhere.
#pragma once

#include <string_view>

namespace flare::thor {

extern const std::string_view kLibraryJson;  // flare/assets/library.json
extern const std::string_view kStretchJson;  // flare/robots/stretch.yaml, as JSON

}  // namespace flare::thor
