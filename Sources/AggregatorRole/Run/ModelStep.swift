import Cryptography
import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import SecureSums

/// One step of the global model: from the sum of the sites' updates to the model after the round, from file to file, a piece at a time, so
/// that memory holds the sum and nothing else of the model's size.
struct ModelStep {
  let plan: FederationPlan
  let files: FederationFiles
  /// Entries of the trained parameters.
  let entries: Int

  /// Entries of a piece. Part of the store's form: `memory-N.f64` has for one piece after the other all of m and then all of v, so that it stays
  /// what it is whatever the pieces of messages become (`FederationPlan.pieceEntries`).
  static let pieceEntries = 1 << 16

  /// Writes the starting model as the sites sent it, with control variates of 0 where the strategy has them.
  ///
  /// - Parameter check: XXH64 of what they sent.
  /// - Throws: `AggregatorError.damagedStart` for a file that has changed, and then nothing is written; `FileError`.
  func start(from spool: SpoolFile, check: UInt64) throws -> WrittenModel {
    guard try spool.length >= entries * MemoryLayout<Float>.stride else {
      throw AggregatorError.damagedStart(path: files.start)
    }
    return try write(model: 0) { output in
      var read = ContentHash()
      for range in pieces {
        let piece = try floats(range, of: spool)
        piece.withUnsafeBytes { read.update($0) }
        try output.append(piece)
      }
      guard read.value() == check else { throw AggregatorError.damagedStart(path: files.start) }
      if plan.modelLength(entries: entries) > entries {
        for range in pieces { try output.append([Float](repeating: 0, count: range.count)) }
      }
    }
  }

  /// θ ← the rule's step with Δ_j = sum_j · 2^−fraction / Σ w, in Double; for scaffold c ← c + Σ Δc_k / N of N sites in the charter.
  ///
  /// A weight of 0 leaves the model as it is.
  ///
  /// - Parameters:
  ///   - round: whose sum `vector` is.
  ///   - weight: Σ w of the sites in the sum.
  ///   - pieces: what the model's pieces were when it was found whole.
  ///   - memoryCheck: hash of what the rule remembers.
  /// - Throws: `AggregatorError.damaged` for a file that has changed, and then nothing is written; `FileError`.
  func advance(
    round: Int, vector: [UInt64], format: VectorFormat, weight: Int, from pieces: [UInt64], memory memoryCheck: String?
  ) throws -> WrittenModel {
    let model = try SpoolFile(reading: files.model(round))
    guard try model.length == plan.modelLength(entries: entries) * MemoryLayout<Float>.stride,
      let updates = block(VectorBlock.update, of: format)
    else { throw AggregatorError.damaged(path: files.model(round), AggregatorError.otherContent) }
    // Of what is read, which is all of both files in their order, and of what is written.
    var readPieces = PieceHashes()
    var readMemory = ContentHash()
    var writtenMemory = ContentHash()
    let rule = plan.rule
    let memory = rule.memoryVectors > 0 && round > 0 ? try SpoolFile(reading: files.memory(round)) : nil
    let memoryOutput = rule.memoryVectors > 0 ? try AtomicFileWriter(path: files.memory(round + 1)) : nil
    let rate = plan.charter.federation.strategy.serverLearningRate
    var written = try write(model: round + 1) { output in
      for range in self.pieces {
        var piece = try floats(range, of: model)
        piece.withUnsafeBytes { readPieces.update($0) }
        var strategy = ServerStrategy<Float>(rule, rate: rate, count: range.count)
        if let memory {
          let kept = try doubles(range, vectors: rule.memoryVectors, of: memory)
          for vector in kept { vector.withUnsafeBytes { readMemory.update($0) } }
          guard let restored = ServerStrategy<Float>(rule, rate: rate, count: range.count, memory: kept) else {
            throw AggregatorError.damaged(path: files.memory(round), AggregatorError.otherContent)
          }
          strategy = restored
        }
        if weight > 0 {
          strategy.apply(
            vector[updates.range][shifted: range].map { value(of: $0, updates.scale) / Double(weight) }, to: &piece)
        }
        try output.append(piece)
        for vector in strategy.memory {
          try vector.withUnsafeBytes { bytes in
            writtenMemory.update(bytes)
            try memoryOutput?.write(bytes)
          }
        }
      }
      let controls = block(VectorBlock.controls, of: format)
      let sites = Double(plan.charter.sites.count)
      for range in controls == nil ? [] : self.pieces {
        guard let controls else { break }
        var piece = try floats(range, of: model, behind: entries)
        piece.withUnsafeBytes { readPieces.update($0) }
        for (index, entry) in vector[controls.range][shifted: range].enumerated() {
          piece[index] = Float(Double(piece[index]) + value(of: entry, controls.scale) / sites)
        }
        try output.append(piece)
      }
      guard readPieces.finish() == pieces else {
        throw AggregatorError.damaged(path: files.model(round), AggregatorError.otherContent)
      }
      guard memory == nil || readMemory.value().hexadecimal == memoryCheck else {
        throw AggregatorError.damaged(path: files.memory(round), AggregatorError.otherContent)
      }
    }
    try memoryOutput?.publish()
    if memoryOutput != nil { written.memory = writtenMemory.value().hexadecimal }
    return written
  }

  private func value(of entry: UInt64, _ scale: Double) -> Double {
    Double(Int64(bitPattern: entry)) * scale
  }

  private func block(_ name: String, of format: VectorFormat) -> (range: Range<Int>, scale: Double)? {
    guard let range = format.range(of: name), range.count == entries,
      case .fixedPoint(_, let fractionBits, _)? = format.blocks.first(where: { $0.name == name })?.kind
    else { return nil }
    return (range, Double(sign: .plus, exponent: -fractionBits, significand: 1))
  }

  private var pieces: [Range<Int>] {
    stride(from: 0, to: entries, by: Self.pieceEntries).map { $0..<min(entries, $0 + Self.pieceEntries) }
  }

  // MARK: - Files

  /// - Parameter base: entries before the vector that `range` is of.
  private func floats(_ range: Range<Int>, of file: SpoolFile, behind base: Int = 0) throws -> [Float] {
    let piece: Tensor<Float> = try files.numbers(range.count, of: file, at: base + range.lowerBound)
    return piece.elements
  }

  private func doubles(_ range: Range<Int>, vectors: Int, of file: SpoolFile) throws -> [[Double]] {
    try (0..<vectors).map { vector in
      let piece: Tensor<Double> = try files.numbers(
        range.count, of: file, at: range.lowerBound * vectors + vector * range.count)
      return piece.elements
    }
  }

  private func write(model rounds: Int, _ body: (ModelOutput) throws -> Void) throws -> WrittenModel {
    let output = try ModelOutput(path: files.model(rounds))
    try body(output)
    return try output.publish()
  }
}

/// A model that stands in its file.
struct WrittenModel {
  /// SHA-256, in hexadecimal.
  let hash: String
  /// As of `PieceHashes`.
  let pieces: [UInt64]
  /// XXH64, in hexadecimal, of what the server's rule remembers with it; nil where it remembers nothing.
  var memory: String?
}

/// A model's file that is being written, and its hashes.
private final class ModelOutput {
  private let writer: AtomicFileWriter
  private var hash = SHA256()
  private var pieces = PieceHashes()

  init(path: String) throws {
    writer = try AtomicFileWriter(path: path)
  }

  func append(_ values: [Float]) throws {
    try values.withUnsafeBytes { bytes in
      hash.update(bytes)
      pieces.update(bytes)
      try writer.write(bytes)
    }
  }

  func publish() throws -> WrittenModel {
    try writer.publish()
    return WrittenModel(hash: hash.finalize().bytes.hexadecimal, pieces: pieces.finish())
  }
}

extension ArraySlice<UInt64> {
  /// Elements by their distance from the slice's first.
  fileprivate subscript(shifted range: Range<Int>) -> ArraySlice<UInt64> {
    self[(startIndex + range.lowerBound)..<(startIndex + range.upperBound)]
  }
}
