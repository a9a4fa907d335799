package interop

// methodAllowances is where the answers to the methods of Apache's administration library may differ.
var methodAllowances = []allowance{}
