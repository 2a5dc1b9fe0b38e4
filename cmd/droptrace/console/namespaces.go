package console

import (
	"context"
	"fmt"

	"github.com/droptrace/droptrace/resolve/host/netns"
)

// ParseNamespaces reads the values of --netns.
func ParseNamespaces(ctx context.Context, names []string) ([]netns.Namespace, error) {
	list, err := netns.ParseAll(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("--netns: %w", err)
	}
	return list, nil
}
