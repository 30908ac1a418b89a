// The engine's tasks on ONNX Runtime's own threads.
#pragma once

#include "api.hpp"

namespace tconv::ort {

// Until it is destroyed, parallel_for on this thread uses the pool of the session that runs a kernel.
class OnPool {
 public:
  OnPool(const Api& api, const Context* context);
  ~OnPool();
  OnPool(const OnPool&) = delete;
  OnPool& operator=(const OnPool&) = delete;
};

}  // namespace tconv::ort
