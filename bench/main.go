// Bench measures what a Holdfast pipeline costs next to the libraries people would use instead.
package main

func main() {}
