#if MPI
  import CMPI
  import Foundation

  /// A message in whole units: its length, its bytes, and what is left of the last unit.
  ///
  /// `@unchecked Sendable`: written only before it is handed on.
  final class MPIMessage: @unchecked Sendable {
    private static let unit = Int(cmpi_unit)

    let memory: UnsafeMutableRawPointer
    let units: Int
    let kind: Int32

    /// Nil for more than MPI counts.
    init?(_ message: Data, kind: Int32) {
      guard message.count < Int(Int32.max) * Self.unit - 8 else { return nil }
      self.kind = kind
      units = (message.count + 8 + Self.unit - 1) / Self.unit
      memory = .allocate(byteCount: units * Self.unit, alignment: 64)
      memory.storeBytes(of: message.count, as: Int.self)
      message.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { (memory + 8).copyMemory(from: base, byteCount: bytes.count) }
      }
      let used = 8 + message.count
      (memory + used).initializeMemory(as: UInt8.self, repeating: 0, count: units * Self.unit - used)
    }

    /// Room for what another rank sends, or an empty message.
    init(units: Int, kind: Int32) {
      self.units = units
      self.kind = kind
      memory = .allocate(byteCount: max(1, units) * Self.unit, alignment: 64)
    }

    deinit {
      memory.deallocate()
    }

    /// Nil for a length that does not fit.
    var content: Data? {
      guard units > 0 else { return nil }
      let count = memory.load(as: Int.self)
      guard (0...units * Self.unit - 8).contains(count) else { return nil }
      return Data(bytes: memory + 8, count: count)
    }
  }
#endif
