# SPDX-License-Identifier: MIT
# Ringway's build. `make help` lists the targets; everything it writes goes under $(BUILD).

VERSION := 0.1.0
BUILD   ?= build
CC      ?= gcc
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
SAN     ?=
V       ?=
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

Q       := $(if $(V),,@)
say      = $(if $(V),:,printf '  %-5s %s\n')
comma    := ,
# What is built sanitized: all but libxenloop.so, which programs that are not are preloaded with. gcc's runtimes are
# linked into our programs, so that they come before whatever is preloaded; a plugin's comes with its host (scripts/instrumented.sh).
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CLANG    := $(findstring clang,$(CC))
SAN_address := a
SAN_undefined := ub
SAN_thread := t
SANLINK  := $(if $(CLANG),,$(patsubst %,-static-lib%san,$(foreach s,$(subst $(comma), ,$(SAN)),$(SAN_$(s)))))
CPPFLAGS += -D_GNU_SOURCE $(if $(SAN),,-D_FORTIFY_SOURCE=2) -I. -DRINGWAY_VERSION='"$(VERSION)"' -DRINGWAY_PREFIX='"$(PREFIX)"'
# gcc sees things in instrumented code that are not in the source.
WARN    := -std=gnu11 -Wall -Wextra $(if $(CLANG)$(if $(SAN),,plain),-Werror,-Wno-clobbered -Wno-maybe-uninitialized) -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wvla -Wformat=2
ALL_CFLAGS = $(WARN) -fPIC -fvisibility=hidden -fstack-protector-strong $(CFLAGS) $(SANFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS) $(SANFLAGS)
PROGRAM_LDFLAGS = $(ALL_LDFLAGS) $(SANLINK) $(COUNTED) -pie

ifdef COVERAGE
CFLAGS  := -O0 -g -U_FORTIFY_SOURCE --coverage -fprofile-update=atomic
COUNTED := $(BUILD)/obj/tests/coverage_exit.o
PROGRAM_LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,_exit chroot seccomp_load) -lseccomp
endif
COVERAGE_GOALS  ?= ring common backend/data
COVERAGE_MIN    ?= 85

objs     = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)))
bin      = $(BUILD)/bin/$(1)
lib      = $(BUILD)/lib/$(1)

# Who is built from what: the arrows of the house, one line each.
RING     := $(call objs,ring/*.c)
COMMON   := $(call objs,common/*.c)
FRONT    := $(call objs,frontend/core/*.c)
LIBRINGWAY := $(call objs,frontend/user/lib_*.c)
MUX      := $(call objs,common/xenloop/storemux*.c)
SHIM     := $(call objs,common/xenloop/lib_*.c)
LOOPD    := $(filter-out $(SHIM) $(MUX),$(call objs,common/xenloop/*.c))
CONTROL  := $(call objs,backend/control/*.c)
DATA     := $(call objs,backend/data/*.c backend/engine/*.c)
CLI      := $(call objs,backend/cli/*.c)
ARCHIVES := $(foreach a,front common ring,$(call lib,lib$(a).a))
MAINS    := $(BUILD)/obj/backend/control/main.o $(BUILD)/obj/backend/data/main.o $(BUILD)/obj/backend/cli/main.o

PROGRAMS := $(foreach p,ringwayd ringwayd-data ringway xenloop,$(call bin,$(p)))
SHARED   := $(foreach s,libxenloop.so libringway.so.0 nbdkit-ringway-plugin.so,$(call lib,$(s)))
SUITES   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/check_*.c))
# Programs that the end-to-end tests run in a domain: a folder of sources each.
PEERS    := $(patsubst tests/%/,$(BUILD)/tests/%,$(sort $(dir $(wildcard tests/*/*.c))))
TESTS    := $(SUITES) $(PEERS)

.PHONY: all help deps tests check check-unit check-e2e check-asan check-tsan check-xen lab bench bench-xen soak model coverage demo lint format install uninstall clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(SHARED) ## build everything

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14
	@echo "Variables: BUILD=dir CC=gcc|clang SAN=address,undefined|thread V=1 DESTDIR= PREFIX=/usr/local"

deps: ## install the Debian packages needed (root), or print the apt-get line
	$(Q)scripts/deps

$(call lib,libring.a): $(RING)
$(call lib,libcommon.a): $(COMMON)
$(call lib,libfront.a): $(FRONT)
$(call lib,libxenloop_mux.a): $(MUX)
$(call lib,libcontrol.a): $(filter-out $(MAINS),$(CONTROL))
$(call lib,libdata.a): $(filter-out $(MAINS),$(DATA))
$(call lib,libcli.a): $(filter-out $(MAINS),$(CLI))
$(call lib,libringway.a): $(LIBRINGWAY)
%.a:
	@mkdir -p $(@D); $(say) AR $@
	$(Q)rm -f $@; ar rcs $@ $^

$(call bin,ringwayd): $(CONTROL) $(call lib,libcommon.a)
$(call bin,ringwayd): LIBS = -lxenstore -ljansson -lsystemd -linih
# The data process never links libxenstore or libxenctrl; `make lint` holds it to that.
$(call bin,ringwayd-data): $(DATA) $(call lib,libring.a) $(call lib,libcommon.a)
$(call bin,ringwayd-data): LIBS = -lxengnttab -lxenevtchn -luring -lseccomp -lcap-ng -lpthread
$(call bin,ringway): $(CLI) $(call lib,libcommon.a)
$(call bin,ringway): LIBS = -lxenstore -ljansson
$(call bin,xenloop): $(LOOPD) $(MUX) $(call lib,libcommon.a)
$(call bin,xenloop): LIBS = -lxenstore -lxenevtchn -lxengnttab -lpthread
$(PROGRAMS) $(TESTS): | $(COUNTED)
$(PROGRAMS):
	@mkdir -p $(@D); $(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PROGRAM_LDFLAGS) $(LIBS)

$(call lib,libxenloop.so): $(SHIM) common/xenloop/libxenloop.map
$(call lib,libxenloop.so): LIBS = -ldl -lpthread
$(SHIM) $(call lib,libxenloop.so): SANFLAGS =
$(call lib,libringway.so.0): $(LIBRINGWAY) $(ARCHIVES) frontend/user/libringway.map
$(call lib,libringway.so.0): LIBS = -lxengnttab -lxenevtchn -lxenstore -lpthread
$(call lib,nbdkit-ringway-plugin.so): $(call objs,frontend/user/nbdkit_*.c) $(call lib,libringway.so.0)
$(call lib,nbdkit-ringway-plugin.so): LIBS = -L$(BUILD)/lib -lringway -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../..'
$(SHARED):
	@mkdir -p $(@D); $(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,$(@F) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
		$(addprefix -Wl$(comma)--version-script=,$(filter %.map,$^)) $(ALL_LDFLAGS) $(LIBS)
	$(Q)$(if $(findstring .so.,$@),ln -sf $(@F) $(basename $@))

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D); $(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# A unit test may use any module of the project, each from its archive. Frontend and backend meet only here.
TEST_ARCHIVES := $(foreach a,control data cli ringway front ring xenloop_mux common,$(call lib,lib$(a).a))
$(SUITES): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_ARCHIVES)
	@mkdir -p $(@D); $(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< -Wl,--start-group $(TEST_ARCHIVES) -Wl,--end-group $(PROGRAM_LDFLAGS) \
		-lxenstore -lxengnttab -lxenevtchn -luring -lseccomp -lcap-ng -ljansson -lsystemd -linih \
		$(shell pkg-config --libs check) -lpthread

PEER_ARCHIVES := $(foreach a,ringway front ring common,$(call lib,lib$(a).a))
$(foreach p,$(PEERS),$(eval $(p): $(call objs,tests/$(notdir $(p))/*.c) $(PEER_ARCHIVES)))
$(PEERS):
	@mkdir -p $(@D); $(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PROGRAM_LDFLAGS) \
		-lxenstore -lxengnttab -lxenevtchn -lxenctrl -lpthread

# The instruction bench: what reads in a guest, and what counts in QEMU.
BENCH_XEN := $(BUILD)/tests/lab/reader $(BUILD)/tests/lab/insn_plugin.so
$(BUILD)/tests/lab/reader: $(call objs,tests/lab/bench/reader.c)
$(BUILD)/tests/lab/insn_plugin.so: $(call objs,tests/lab/bench/insn_plugin.c)
$(BENCH_XEN):
	@mkdir -p $(@D); $(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter %.so,$@),-shared) -o $@ $^ $(if $(filter %.so,$@),$(ALL_LDFLAGS),$(PROGRAM_LDFLAGS))

tests: all $(TESTS)

check: deps ## all tests: units, then end to end on loopback Xen
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)scripts/check $(BUILD)

check-unit: deps ## the unit suites alone
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)scripts/check $(BUILD) unit

check-e2e: deps ## the end-to-end tests alone
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)scripts/check $(BUILD) e2e

check-asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CC=gcc SAN=address,undefined check

# gcc refuses the ring's fences here. What is watched is a process's threads, not two processes on shared pages.
check-tsan: ## all tests under ThreadSanitizer, but for a few that scripts/instrumented.sh names
	$(Q)scripts/deps build test lint
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CC=clang SAN=thread check

check-xen: deps ## scenarios on real Xen under QEMU's emulation; SCENARIO="name ..." for some
	$(Q)scripts/deps lab
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/lab/build.sh $(BUILD)
	$(Q)tests/lab/run.sh $(BUILD) $(SCENARIO)

lab: deps ## a shell in a dom0 on real Xen, with Ringway installed and a guest's configuration
	$(Q)scripts/deps lab
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/lab/build.sh $(BUILD)
	$(Q)tests/lab/shell.sh $(BUILD)

bench-xen: deps ## instructions per read of a guest's disk on real Xen: ringwayd, xen-blkback, QEMU
	$(Q)scripts/deps lab
	$(Q)$(MAKE) --no-print-directory all $(BENCH_XEN)
	$(Q)tests/lab/build.sh $(BUILD)
	$(Q)tests/lab/bench/run.sh $(BUILD)

bench: deps ## speed on loopback Xen, against peers in the same run
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/blkbench
	$(Q)CPPFLAGS=-Itests/bench/no_journal $(MAKE) --no-print-directory BUILD=$(BUILD)/bench/no-journal $(BUILD)/bench/no-journal/bin/ringwayd-data
	$(Q)tests/bench/run.sh $(BUILD)

soak: deps ## the storm: KILLS_DATA=1000 and KILLS_CONTROL=200 kill -9 under verified load; SEED=n for that one again
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/soak/run.sh $(BUILD)

model: ## the model of ring and journal, checked with Spin: whole, and without each mechanism
	$(Q)scripts/deps model
	$(Q)tests/model/run.sh $(BUILD)

coverage: ## all tests, and how many lines of each folder they ran; the folders of COVERAGE_GOALS need COVERAGE_MIN percent
	$(Q)scripts/deps build test coverage
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage CC=gcc COVERAGE=1 tests
	$(Q)scripts/coverage $(BUILD)/coverage $(COVERAGE_MIN) $(COVERAGE_GOALS)

demo: deps ## the main job on loopback Xen: three guests, two disks, one refusal
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo $(BUILD)

lint: ## formatting, static analysis, include arrows, what ringwayd-data links to
	$(Q)scripts/deps build lint
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/lint $(BUILD)

format: ## rewrite the sources in the project's style
	$(Q)git ls-files '*.[ch]' | xargs clang-format -i

install: all ## install under DESTDIR and PREFIX
	$(Q)scripts/install $(BUILD) "$(DESTDIR)" "$(PREFIX)" $(VERSION)

uninstall: ## remove what install left there, but for a configuration that was changed
	$(Q)scripts/install --uninstall "$(DESTDIR)" "$(PREFIX)"

clean: ## remove everything built
	$(Q)rm -rf $(BUILD)
