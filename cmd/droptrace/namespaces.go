package main

import (
	"context"
	"fmt"

	"github.com/droptrace/droptrace/resolve/host/netns"
)

// parseNamespaces reads the values of --netns.
func parseNamespaces(ctx context.Context, names []string) ([]netns.Namespace, error) {
	list, err := netns.ParseAll(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("--netns: %w", err)
	}
	return list, nil
}
