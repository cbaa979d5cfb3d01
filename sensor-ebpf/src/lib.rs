//! The kernel half.
#![no_std]
