#include "thor/server.hpp"

#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "thor/client_processor.hpp"
#include "thor/metadata.hpp"

namespace flare::thor {
namespace {

/// Copies rows so that the last comes first, as Unity sends images. Pixels may gain a channel.
void flip(const std::uint8_t* from, std::uint8_t* to, int height, std::size_t row_bytes) {
  for (int y = 0; y < height; ++y) {
    std::memcpy(to + static_cast<std::size_t>(height - 1 - y) * row_bytes,
                from + static_cast<std::size_t>(y) * row_bytes, row_bytes);
  }
}

void flip_to_rgba(const std::uint8_t* from, std::uint8_t* to, int height, int width) {
  for (int y = height - 1; y >= 0; --y) {
    const std::uint8_t* row =
        from + static_cast<std::size_t>(y) * static_cast<std::size_t>(width) * 3;
    for (int x = 0; x < width; ++x, row += 3, to += 4) {
      to[0] = row[0];
      to[1] = row[1];
      to[2] = row[2];
      to[3] = 255;
    }
  }
}

void flip_ids(const std::uint16_t* from, std::uint8_t* to, int height, int width) {
  for (int y = height - 1; y >= 0; --y) {
    const std::uint16_t* row = from + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    for (int x = 0; x < width; ++x, to += 4) {
      const auto color = color_of_id(row[x]);
      to[0] = color[0];
      to[1] = color[1];
      to[2] = color[2];
      to[3] = 255;
    }
  }
}

}  // namespace

Server::Server(Simulator& simulator, std::vector<Fault> faults)
    : simulator_(simulator), faults_(std::move(faults)) {
  add_scene_actions(table_);
  add_robot_actions(table_);
  add_camera_actions(table_);
  add_object_queries(table_);
  add_path_queries(table_);
}

void Server::serve(const std::string& server_path, const std::string& client_path) {
  if (const auto due = faults_.next("start", "")) suffer(*due);
  const Pipe out(server_path, true);
  out.enlarge();
  if (!send(out, {"Initialize", true, false, "", "", nullptr}, {})) return;
  // Only now: the client opens the other pipe with its first action.
  const Pipe in(client_path, false);
  in.enlarge();
  ClientProcessor client;
  while (const std::optional<std::string> text = read_action(in)) {
    client.follow();
    if (!answer(out, *text)) return;
  }
}

bool Server::answer(const Pipe& out, const std::string& text) {
  const nlohmann::json action = nlohmann::json::parse(text);
  sequence_id_ = action.value("sequenceId", std::int64_t{0});
  const auto due = faults_.next(action.value("action", ""), text);
  if (due) suffer(*due);
  const Reply reply = execute(table_, simulator_, action);
  if (due) return send_broken(out, *due);
  return send(out, reply, images_of(action));
}

/// A reply that stops half way, or one that is none; the client waits for the rest.
bool Server::send_broken(const Pipe& out, FaultKind kind) {
  constexpr std::size_t kBytes = 4096;
  std::vector<std::uint8_t> bytes(kBytes, 0xa5);
  if (kind == FaultKind::kTruncate) {
    const std::uint32_t claimed = 1U << 20U;
    bytes[0] = static_cast<std::uint8_t>(Field::kMetadata);
    for (unsigned i = 0; i < 4; ++i) {
      bytes[1 + i] = static_cast<std::uint8_t>(claimed >> (24U - 8U * i));
    }
  }
  return write_bytes(out, bytes);
}

ImageRequest Server::images_of(const nlohmann::json& action) const {
  const auto flag = [&](const char* key, bool otherwise) {
    const auto found = action.find(key);
    return found != action.end() && found->is_boolean() ? found->get<bool>() : otherwise;
  };
  ImageRequest request;
  request.color = flag("renderImage", true);
  const bool is_synthesised = request.color && flag("renderImageSynthesis", true);
  request.depth = is_synthesised && flag("renderDepthImage", simulator_.wants_depth);
  request.ids = request.color && (flag("renderInstanceSegmentation", false) ||
                                  (is_synthesised && simulator_.wants_ids));
  return request;
}

std::span<std::uint8_t> Server::body(std::size_t bytes) {
  if (used_bodies_ == message_.bodies.size()) message_.bodies.emplace_back();
  auto& memory = message_.bodies[used_bodies_++];
  memory.resize(bytes);
  return memory;
}

void Server::add_images(Field color, Field depth, Field ids, int camera,
                        const ImageRequest& request) {
  CameraImage& image = simulator_.image(camera, request);
  const int height = simulator_.height;
  const int width = simulator_.width;
  const auto pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  const std::size_t channels = simulator_.options.is_rgba ? 4 : 3;
  if (image.message_revision != image.revision) {
    image.message.resize(pixels * channels);
    if (channels == 4) {
      flip_to_rgba(image.rgb.data(), image.message.data(), height, width);
    } else {
      flip(image.rgb.data(), image.message.data(), height, static_cast<std::size_t>(width) * 3);
    }
    image.message_revision = image.revision;
  }
  message_.fields.push_back({color, image.message});
  if (request.depth) {
    const auto out = body(pixels * sizeof(float));
    flip(reinterpret_cast<const std::uint8_t*>(image.depth.data()), out.data(), height,
         static_cast<std::size_t>(width) * sizeof(float));
    message_.fields.push_back({depth, out});
  }
  if (request.ids) {
    const auto out = body(pixels * 4);
    flip_ids(image.ids.data(), out.data(), height, width);
    message_.fields.push_back({ids, out});
  }
}

bool Server::send(const Pipe& out, const Reply& reply, const ImageRequest& request) {
  message_.fields.clear();
  used_bodies_ = 0;
  if (reply.is_patch) {
    write_patch(metadata_, reply);
    message_.fields.push_back({Field::kMetadataPatch, metadata_.bytes()});
    return writer_.write(out, message_.fields);
  }
  write_metadata(metadata_, simulator_, reply, request, sequence_id_);
  message_.fields.push_back({Field::kMetadata, metadata_.bytes()});
  if (request.color) {
    if (simulator_.options.frame_delay > 0.0) {
      std::this_thread::sleep_for(std::chrono::duration<double>(simulator_.options.frame_delay));
    }
    message_.bodies.reserve(2 * (static_cast<std::size_t>(simulator_.num_cameras()) + 1));
    for (int i = 0; i < simulator_.num_cameras(); ++i) {
      add_images(Field::kThirdPartyImage, Field::kThirdPartyDepth, Field::kThirdPartyIds, i,
                 request);
    }
    add_images(Field::kImage, Field::kDepth, Field::kIds, Simulator::kAgentCamera, request);
  }
  return writer_.write(out, message_.fields);
}

}  // namespace flare::thor
