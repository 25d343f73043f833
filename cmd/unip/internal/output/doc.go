// Package output holds how the commands show what they have to show.
package output
