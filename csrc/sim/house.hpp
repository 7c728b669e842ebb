// One house as plain data: metres, y up, yaw clockwise. Written once by house_loader, then const.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/geometry.hpp"

namespace flare::sim {

struct Color {
  float r = 0.5F;
  float g = 0.5F;
  float b = 0.5F;
};

/// The families of proxy bodies that stand in for an object's mesh. Each fills the object's box.
enum class Shape : std::uint8_t {
  kBox,
  kCylinder,
  kSphere,
  kCone,
  kTable,   // slab on four legs
  kChair,   // seat, back, legs
  kBed,     // mattress, headboard
  kSofa,    // seat, back, armrests
  kShelf,   // frame with boards
  kPlant,   // pot and crown
  kToilet,  // bowl and tank
  kScreen,  // thin panel on a foot
  kLamp,    // foot, pole, shade
  kBowl,    // open half sphere
  kBottle,  // body and neck
  kPanel,   // flat on a wall or floor (painting, rug)
};

struct Room {
  std::string id;
  std::string type;
  std::vector<Vec2> polygon;  // corners in order, either direction, may be concave
  Color floor;
  float ceiling_y = 2.5F;
};

/// One side of a wall: seen from `room` (index into House::rooms, -1 for the outside).
struct Wall {
  std::string id;
  int room = -1;
  Vec2 p0, p1;  // floor points in the order of the file; a hole's x runs from p0 to p1
  float y0 = 0.0F;
  float y1 = 2.5F;
  bool empty = false;  // a passage: no geometry
  Color color;
};

enum class OpeningKind : std::uint8_t { kDoor, kWindow };

/// A door leaf seen from above, as it stands. A thin upright board, a way for nobody.
struct DoorLeaf {
  Vec2 hinge, tip;
};

struct Opening {
  std::string id;
  OpeningKind kind = OpeningKind::kDoor;
  int room0 = -1, room1 = -1;    // equal for an exterior door
  int wall0 = -1, wall1 = -1;    // indices into House::walls
  float x0 = 0.0F, x1 = 0.0F;    // metres along wall0 from its p0
  float y0 = 0.0F, y1 = 0.0F;    // metres above the floor
  bool passable = false;         // a door frame or open door between two rooms
  std::vector<DoorLeaf> leaves;  // of an open door: one, or two of a double door; no more otherwise
};

struct Object {
  std::string id;  // as in the file, "Apple|surface|3|12"
  std::string asset_id;
  std::string type;   // "Apple"; for Objaverse "ObjaApple" is reported as "Apple"
  int category = -1;  // index into AssetLibrary::categories()
  Shape shape = Shape::kBox;
  Color color;        // of this instance (variant by asset id)
  Vec3 center;        // of the bounding box
  Vec3 size;          // along the object's own axes
  Vec3 rotation_deg;  // Unity order; only yaw matters for proxies, tilt kept as data
  int room = -1;
  int parent = -1;  // receptacle it stands on, index into House::objects
  bool kinematic = false;
  bool pickupable = false;
  bool on_wall = false;  // painting, mirror: blocks only where it sticks out 0.1 m or more
};

struct Bounds {
  Vec2 min, max;
};

struct AgentStart {
  Vec3 position;
  float yaw_deg = 0.0F;
};

struct House {
  std::string source;  // "file.jsonl.gz line 3", for messages
  std::vector<Room> rooms;
  std::vector<Wall> walls;
  std::vector<Opening> openings;
  std::vector<Object> objects;  // children flattened, parents before children
  Bounds bounds;
  AgentStart start;
  std::uint64_t hash = 0;  // of the canonical JSON text, for the manifest
};

}  // namespace flare::sim
