// Package cmd holds no code. Its test holds the arrows between the rooms of the repository.
package cmd
