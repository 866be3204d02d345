/// The sizes of one multiplication as BLAS takes them, in 32 bits.
struct BLASSizes {
  let m: Int32
  let n: Int32
  let k: Int32
  let leadingA: Int32
  let leadingB: Int32
  let leadingC: Int32

  /// Nil when a size does not fit. BLAS wants leading dimensions of at least 1 even of empty matrices.
  init?(m: Int, n: Int, k: Int, leadingA: Int, leadingB: Int, leadingC: Int) {
    guard let m = Int32(exactly: m), let n = Int32(exactly: n), let k = Int32(exactly: k),
      let leadingA = Int32(exactly: Swift.max(1, leadingA)), let leadingB = Int32(exactly: Swift.max(1, leadingB)),
      let leadingC = Int32(exactly: Swift.max(1, leadingC))
    else { return nil }
    self.m = m
    self.n = n
    self.k = k
    self.leadingA = leadingA
    self.leadingB = leadingB
    self.leadingC = leadingC
  }
}
