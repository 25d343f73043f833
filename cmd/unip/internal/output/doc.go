// Package output holds how the commands show what they have to show: as JSON, in folders, and for
// people as tables, drawings, sizes and times.
package output
