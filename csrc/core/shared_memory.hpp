// One block of memory that several processes map. By default it has no name (memfd), so that the
// kernel frees it with the last process that maps it, however that process dies. A named block
// (POSIX shared memory) exists for processes that can't reach the creator's descriptors; its
// creator unlinks the name.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace flare {

class SharedMemory {
 public:
  /// A zeroed block without a name. Its size is sealed: no process can shrink it under another.
  /// @throws SharedMemoryError if the machine or a control group has not that much left.
  static SharedMemory create(std::size_t bytes);

  /// A zeroed block named `name` (no '/'), its pages reserved now, unlinked by this object.
  /// @throws SharedMemoryError if /dev/shm is too small or the name is taken.
  static SharedMemory create_named(const std::string& name, std::size_t bytes);

  /// The block behind a descriptor of this process (inherited or received); the descriptor is
  /// duplicated and stays the caller's.
  static SharedMemory attach_fd(int fd);

  /// The block behind descriptor `fd` of process `pid`, of the same user and pid namespace.
  static SharedMemory attach_process(pid_t pid, int fd);

  /// The block that another process created with create_named.
  static SharedMemory attach_named(const std::string& name);

  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] int fd() const { return fd_; }
  /// Empty for a block without a name.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  SharedMemory() = default;
  /// Maps all of fd, which this object then owns.
  static SharedMemory map(int fd, const std::string& what);
  void release() noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int fd_ = -1;
  std::string name_;
  pid_t unlinker_ = 0;  // the process that unlinks name_; 0: nobody. A forked child must not.
};

}  // namespace flare
