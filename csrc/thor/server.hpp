// The conversation with one client: its actions in, metadata and images out.
#pragma once

#include <string>
#include <vector>

#include "thor/actions.hpp"
#include "thor/faults.hpp"
#include "thor/msgpack_writer.hpp"
#include "thor/pipes.hpp"

namespace flare::thor {

class Server {
 public:
  Server(Simulator& simulator, std::vector<Fault> faults);

  /// Sends the first message, then answers actions until the client is gone. Throws
  /// std::runtime_error for pipes that cannot be opened or carry no messages.
  void serve(const std::string& server_path, const std::string& client_path);

 private:
  struct Message {
    std::vector<OutField> fields;
    std::vector<std::vector<std::uint8_t>> bodies;  // of the fields; reused
  };
  bool answer(const Pipe& out, const std::string& text);
  bool send(const Pipe& out, const Reply& reply, const ImageRequest& request);
  bool send_broken(const Pipe& out, FaultKind kind);
  ImageRequest images_of(const nlohmann::json& action) const;
  std::span<std::uint8_t> body(std::size_t bytes);
  void add_images(Field color, Field depth, Field ids, int camera, const ImageRequest& request);

  Simulator& simulator_;
  ActionTable table_;
  FaultPlan faults_;
  // What a message is made of: not touched again before the client has asked for the next.
  MsgpackWriter metadata_;
  Message message_;
  MessageWriter writer_;
  std::size_t used_bodies_ = 0;
  std::int64_t sequence_id_ = 0;
};

}  // namespace flare::thor
