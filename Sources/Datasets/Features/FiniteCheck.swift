/// Finds what is not a finite number.
enum FiniteCheck {
  /// The index of the first NaN or infinity; nil when there is none.
  static func firstFailure(in values: UnsafeBufferPointer<Float>) -> Int? {
    // Without its sign, a float's bits order like the float, infinities and NaN last. The maximum is one pass of integer
    // instructions over whole vectors; a search by `isFinite` would branch at every element.
    var largest: UInt32 = 0
    for value in values { largest = max(largest, value.bitPattern & 0x7fff_ffff) }
    if largest < Float.infinity.bitPattern { return nil }
    return values.firstIndex { !$0.isFinite }
  }
}
