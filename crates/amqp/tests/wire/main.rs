//! The wire against octets written out by hand from the specification, against itself (decode and
//! encode are inverse), and against damage: every cut, every octet and every length changed.

mod golden;
mod hostile;
mod machine;
mod methods;
mod samples;
mod tables;
mod tuning;
