#pragma once

namespace tconv {

// How many cores the CPU affinity and the container's quota leave to this process. At least 1.
int available_cores();

}  // namespace tconv
