// The metadata of a reply: all of the agent's, or what a query changes of it.
#pragma once

#include <cstdint>

#include "thor/actions.hpp"
#include "thor/msgpack_writer.hpp"

namespace flare::thor {

/// A full message's metadata. @param request  what of the images goes with it
void write_metadata(MsgpackWriter& out, Simulator& simulator, const Reply& reply,
                    const ImageRequest& request, std::int64_t sequence_id);

/// What the client lays over the metadata that it has.
void write_patch(MsgpackWriter& out, const Reply& reply);

/// Colour of an id (render::ImageView::ids) in images of instances.
std::array<std::uint8_t, 3> color_of_id(std::uint16_t id);

}  // namespace flare::thor
