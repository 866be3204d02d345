/// Random numbers that a copy draws again, so that two attempts differ in nothing but what they are made on.
///
/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, section 4); nothing secret depends on it.
struct RepeatableNumbers: RandomNumberGenerator {
  private var state = UInt64.random(in: 0 ... .max)

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
