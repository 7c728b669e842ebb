#include "core/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/memory_limit.hpp"

namespace flare {
namespace {

[[noreturn]] void fail(const std::string& what, int error, const std::string& mend) {
  throw SharedMemoryError(what + ": " + std::generic_category().message(error) + "; " + mend);
}

/// Closes a descriptor unless it was handed on.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  int hand_on() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

void require_room(std::size_t bytes, const MemoryLimit& limit, const std::string& mend) {
  if (bytes == 0) throw SharedMemoryError("shared memory of 0 bytes was asked for");
  if (bytes <= limit.bytes) return;
  throw SharedMemoryError("shared memory: wanted " + format_bytes(bytes) + ", " + limit.what +
                          " has " + format_bytes(limit.bytes) + " left; " + mend);
}

off_t file_size(std::size_t bytes) { return static_cast<off_t>(bytes); }

std::string posix_name(const std::string& name) {
  if (name.empty() || name.size() > 200 || name.find('/') != std::string::npos) {
    throw SharedMemoryError("shared memory name '" + name +
                            "': use 1 to 200 characters without '/'");
  }
  return "/" + name;
}

}  // namespace

SharedMemory SharedMemory::create(std::size_t bytes) {
  require_room(bytes, available_memory(),
               "use fewer environments, fewer steps or smaller frames, or raise the limit");
  Descriptor fd(memfd_create("flare", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd.get() < 0) fail("memfd_create", errno, "the kernel must be Linux 3.17 or newer");
  if (ftruncate(fd.get(), file_size(bytes)) != 0) {
    fail("shared memory of " + format_bytes(bytes), errno, "ask for less");
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    fail("sealing the size of shared memory", errno, "the kernel must allow seals on memfd");
  }
  return map(fd.hand_on(), "shared memory of " + format_bytes(bytes));
}

SharedMemory SharedMemory::create_named(const std::string& name, std::size_t bytes) {
  const std::string path = posix_name(name);
  const std::string mend =
      "enlarge it (docker run --shm-size, mount -o remount,size=...) or create the buffer without "
      "a name, which does not use /dev/shm";
  require_room(bytes, available_on("/dev/shm"), mend);
  require_room(bytes, available_memory(), "use fewer environments, steps or smaller frames");
  Descriptor fd(shm_open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    fail("shared memory '" + name + "'", errno,
         "choose another name, or remove /dev/shm/" + name + " if its creator is gone");
  }
  // Pages are reserved now: an overfull tmpfs would otherwise kill a writer later by SIGBUS.
  int error = ftruncate(fd.get(), file_size(bytes)) == 0 ? 0 : errno;
  if (error == 0) error = posix_fallocate(fd.get(), 0, file_size(bytes));
  if (error != 0) {
    shm_unlink(path.c_str());
    fail("shared memory '" + name + "' of " + format_bytes(bytes), error, mend);
  }
  try {
    SharedMemory memory = map(fd.hand_on(), "shared memory '" + name + "'");
    memory.name_ = name;
    memory.unlinker_ = getpid();
    return memory;
  } catch (const SharedMemoryError&) {
    shm_unlink(path.c_str());
    throw;
  }
}

SharedMemory SharedMemory::attach_fd(int fd) {
  Descriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (copy.get() < 0) {
    fail("descriptor " + std::to_string(fd), errno,
         "pass the descriptor to this process (subprocess: pass_fds)");
  }
  return map(copy.hand_on(), "descriptor " + std::to_string(fd));
}

SharedMemory SharedMemory::attach_process(pid_t pid, int fd) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
  Descriptor opened(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (opened.get() < 0) {
    fail(path, errno,
         "the creator must live, hold the buffer, and run as the same user in the same container");
  }
  return map(opened.hand_on(), path);
}

SharedMemory SharedMemory::attach_named(const std::string& name) {
  Descriptor fd(shm_open(posix_name(name).c_str(), O_RDWR | O_CLOEXEC, 0));
  if (fd.get() < 0) {
    fail("shared memory '" + name + "'", errno, "its creator must live and share /dev/shm");
  }
  SharedMemory memory = map(fd.hand_on(), "shared memory '" + name + "'");
  memory.name_ = name;
  return memory;
}

SharedMemory SharedMemory::map(int fd, const std::string& what) {
  SharedMemory memory;
  memory.fd_ = fd;
  struct stat info{};
  if (fstat(fd, &info) != 0) fail(what, errno, "the descriptor must be open");
  if (info.st_size <= 0) throw SharedMemoryError(what + " holds no memory to map");
  memory.size_ = static_cast<std::size_t>(info.st_size);
  void* address = mmap(nullptr, memory.size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) {
    memory.size_ = 0;
    fail("mapping " + what, errno, "raise the limit of virtual memory (ulimit -v)");
  }
  memory.data_ = static_cast<std::byte*>(address);
  // Fewer page faults where the kernel has huge pages for shared memory; advice, so may be refused.
  (void)madvise(address, memory.size_, MADV_HUGEPAGE);
  return memory;
}

void SharedMemory::release() noexcept {
  if (data_ != nullptr) munmap(data_, size_);
  if (fd_ >= 0) close(fd_);
  if (unlinker_ != 0 && unlinker_ == getpid()) shm_unlink(("/" + name_).c_str());
  data_ = nullptr;
  size_ = 0;
  fd_ = -1;
  unlinker_ = 0;
}

SharedMemory::~SharedMemory() { release(); }

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      unlinker_(std::exchange(other.unlinker_, 0)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    fd_ = std::exchange(other.fd_, -1);
    name_ = std::move(other.name_);
    unlinker_ = std::exchange(other.unlinker_, 0);
  }
  return *this;
}

}  // namespace flare
