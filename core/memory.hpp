// Blocks of memory for outputs, packed weights and workspace, kept for the next call.
//
// A fresh large block costs a page fault every 4 KiB, which for memory-bound layers takes longer
// than the computation. So blocks of 1 MiB and more are aligned to huge pages, and a bounded number of bytes
// is kept instead of freed.
#pragma once

#include <cstddef>
#include <utility>

namespace tconv {

constexpr size_t kHugePage = size_t{2} << 20;

void* take_block(size_t bytes);  // 64-byte aligned; throws std::bad_alloc
void give_block(void* block, size_t bytes) noexcept;
void empty_cache() noexcept;  // returns all kept blocks to the system
size_t cached_bytes() noexcept;

class Block {
 public:
  Block() = default;
  explicit Block(size_t bytes) : data_(take_block(bytes)), bytes_(bytes) {}
  Block(Block&& other) noexcept { *this = std::move(other); }
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Block() {
    if (data_) give_block(data_, bytes_);
  }
  template <class T> T* as() const { return static_cast<T*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace tconv
