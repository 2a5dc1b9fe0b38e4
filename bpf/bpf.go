// Package bpf holds the kernel side: C sources and, generated from them by
// `make generate`, the objects that droptrace embeds. Nobody but tracer imports
// it.
package bpf

//go:generate go tool bpf2go -target amd64,arm64 -output-stem droptrace -cflags "-O2 -Wall -Wextra -Wno-unused-parameter -Wno-unknown-attributes -mcpu=v3" -type event -type layout -type site_range -type config -type frame_site -type frame_key -type calibration -type xt_query -type xt_tracked -type xt_watched -type ct_baseline_key -type ct_baseline -type loss_key -type loss_flag -type arrival_key -type arrival Kernel droptrace.bpf.c
//go:generate ../scripts/check-generated --write

// Levels is LEVELS of scratch.h: runs on one CPU that may interrupt each other.
const Levels = 3
