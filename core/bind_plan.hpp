// The structs and enums of plan.hpp in Python.
#pragma once

#include <nanobind/nanobind.h>

namespace tconv {

void bind_plan(nanobind::module_& m);

}  // namespace tconv
