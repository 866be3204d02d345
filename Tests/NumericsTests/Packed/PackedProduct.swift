import CKernels

@testable import Numerics

/// A product with random operands in memory whose rows are longer than the matrices, so that reading or writing beyond them shows.
struct PackedProduct {
  struct Sizes: Sendable, CustomStringConvertible {
    let m: Int
    let n: Int
    let k: Int
    var description: String { "\(m)×\(n)×\(k)" }
  }

  /// What the operands are like.
  enum Numbers: CaseIterable, Sendable {
    /// Between 2⁻⁴ and 2⁴, of either sign.
    case moderate
    /// Any bits at all: denormal and huge numbers, infinities, NaN.
    case anyBits
    /// Products about the smallest normal number.
    case tiny
    /// Denormal and the smallest normal numbers.
    case denormal

    func next(_ state: inout UInt64) -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let bits = UInt32(truncatingIfNeeded: state >> 32)
      let place = UInt32(truncatingIfNeeded: state >> 24) & 7
      switch self {
      case .moderate: return Float(bitPattern: bits & 0x807f_ffff | (123 + place) << 23)
      case .anyBits: return Float(bitPattern: bits)
      case .tiny: return Float(bitPattern: bits & 0x807f_ffff | (60 + place) << 23)
      case .denormal: return Float(bitPattern: bits & 0x807f_ffff | (place < 5 ? 0 : place - 4) << 23)
      }
    }
  }

  static let extra = 3

  let sizes: Sizes
  let transposeA: Bool
  let transposeB: Bool
  let alpha: Double
  let accumulates: Bool
  let a: MatrixBuffer<Float>
  let b: MatrixBuffer<Float>
  let start: [Float]

  init(
    _ sizes: Sizes, transposeA: Bool = false, transposeB: Bool = false, alpha: Double = 1, accumulates: Bool = false,
    _ numbers: Numbers = .moderate
  ) {
    self.sizes = sizes
    self.transposeA = transposeA
    self.transposeB = transposeB
    self.alpha = alpha
    self.accumulates = accumulates
    var state = UInt64(sizes.m * 31 + sizes.n * 17 + sizes.k)
    func buffer(_ rows: Int, _ columns: Int) -> MatrixBuffer<Float> {
      let buffer = MatrixBuffer<Float>(rows: rows, columns: columns + Self.extra)
      for index in 0..<buffer.count { buffer.elements[index] = numbers.next(&state) }
      return buffer
    }
    a = buffer(transposeA ? sizes.k : sizes.m, transposeA ? sizes.m : sizes.k)
    b = buffer(transposeB ? sizes.n : sizes.k, transposeB ? sizes.k : sizes.n)
    start = (0..<sizes.m * (sizes.n + Self.extra)).map { _ in numbers.next(&state) }
  }

  /// Without the columns that are too many.
  static func whole(_ buffer: MatrixBuffer<Float>) -> MatrixView<Float> {
    buffer.view.block(rows: 0..<buffer.rows, columns: 0..<buffer.columns - extra)
  }

  var views: (a: MatrixView<Float>, b: MatrixView<Float>) { (Self.whole(a), Self.whole(b)) }

  func left(_ row: Int, _ index: Int) -> Float {
    a.elements[transposeA ? index * a.columns + row : row * a.columns + index]
  }

  func right(_ index: Int, _ column: Int) -> Float {
    b.elements[transposeB ? column * b.columns + index : index * b.columns + column]
  }

  func before(_ row: Int, _ column: Int) -> Float { accumulates ? start[row * (sizes.n + Self.extra) + column] : 0 }

  /// C in its memory, with the columns that are too many.
  func result(
    _ library: PackedKernels, _ precision: ProductPrecision = .bfloat16, threads: Int? = nil,
    packed: PackedMatrix? = nil, then epilogue: Epilogue<Float> = .none
  ) -> [Float] {
    let c = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n + Self.extra)
    for index in 0..<c.count { c.elements[index] = start[index] }
    let compute = Compute(workers: Workers(threads: threads ?? 1), library: library, precision: precision)
    let (a, b) = views
    if threads == nil, !epilogue.isNeeded {
      compute.multiplyOnCallingThread(
        a, transposeA: transposeA, b, transposeB: transposeB, packed: packed, alpha: alpha, accumulates: accumulates,
        into: Self.whole(c))
    } else {
      compute.multiply(
        a, transposeA: transposeA, b, transposeB: transposeB, packed: packed, alpha: alpha, accumulates: accumulates,
        into: Self.whole(c), then: epilogue)
    }
    return Array(c.elements)
  }

  /// Bits, of which all of NaN count as the same.
  static func bits(_ numbers: [Float]) -> [UInt32] { numbers.map { $0.isNaN ? 0x7fc0_0000 : $0.bitPattern } }
}

/// The order of a path's sums, for its emulations and for the test's own loops.
enum SummationOrder: CaseIterable, Sendable {
  case single
  case pairs
  case tiles

  init(_ path: KernelPath) {
    self =
      switch path {
      case .amx: .tiles
      case .avx512BFloat16: .pairs
      case .avx512, .avx2, .portable: .single
      }
  }

  /// Emulated.
  var kernels: PackedKernels {
    switch self {
    case .single: PackedKernels(emulating: .avx2)
    case .pairs: PackedKernels(emulating: .avx512BFloat16)
    case .tiles: PackedKernels(emulating: .amx)
    }
  }

  /// Σ a b as the path adds it, from operands that have been rounded; numbers must stay within the normal ones.
  func sum(_ a: [Float], _ b: [Float]) -> Float {
    var sum: Float = 0
    switch self {
    case .single:
      for index in a.indices { sum.addProduct(a[index], b[index]) }
    case .pairs:
      for first in stride(from: 0, to: a.count, by: 2) {
        if first + 1 < a.count { sum.addProduct(a[first + 1], b[first + 1]) }
        sum.addProduct(a[first], b[first])
      }
    case .tiles:
      for start in stride(from: 0, to: a.count, by: 32) {
        var halves: (Float, Float) = (0, 0)
        for index in start..<min(a.count, start + 32) {
          if index % 2 == 0 {
            halves.0.addProduct(a[index], b[index])
          } else {
            halves.1.addProduct(a[index], b[index])
          }
        }
        sum += halves.0 + halves.1
      }
    }
    return sum
  }
}

/// To the nearest number of 8 significant bits, ties to the even one; from the definition, for finite numbers.
func roundedToBFloat16(_ x: Float) -> Float {
  guard x != 0, x.isFinite else { return x }
  let unit = x.ulp * 65536
  return (x / unit).rounded(.toNearestOrEven) * unit
}
