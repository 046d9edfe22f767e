package oidcclient

// CheckAddress is asked about each address before it is connected to.
var CheckAddress = checkAddress
