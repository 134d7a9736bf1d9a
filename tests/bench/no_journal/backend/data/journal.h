/* SPDX-License-Identifier: MIT */
/*
 * backend/data/journal.h without its stores, for the bench that says what these cost: found before
 * the real one when this folder comes first in the include path. A data process that is built so
 * serves, and nobody can go on after it. Used by the Makefile's bench.
 */
#pragma once
#include "ring/ring.h"
#pragma push_macro("__atomic_store_n")
#define __atomic_store_n(at, value, order) ((void)(at), (void)(value))
#include_next "backend/data/journal.h"
#pragma pop_macro("__atomic_store_n")
