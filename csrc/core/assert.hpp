// FLARE_ASSERT checks our own invariants in debug and sanitizer builds and costs nothing in
// release.
#pragma once

#include <cassert>

#ifdef NDEBUG
#define FLARE_ASSERT(condition) ((void)sizeof(condition))
#else
#define FLARE_ASSERT(condition) assert(condition)
#endif
