import Cryptography
import Federation
import Files
import Foundation
import Numerics
import OwnerRole
import TestSupport
import Testing

@testable import Masking
@testable import SiteRole

/// A federation with secure sums and masks beside the same one in the clear.
struct ClearComparison {
  let federation: SmallFederation
  let records: [SumRecord]

  /// Runs both, and expects the same models at all sites and the same means in all sums. The group's key is a fixed one, so that starting
  /// weights, masks and batches are the same each time.
  ///
  /// - Parameter tolerance: of a model's numbers, relative to the largest of its tensor, and of the sums' means.
  init(_ federation: SmallFederation, tolerance: Double) throws {
    var federation = federation
    federation.group = GroupKey(secret: Array(repeating: 7, count: 32).withUnsafeBytes { SecretBuffer(copying: $0) })
    self.federation = federation
    let clear = try federation.inTheClear()
    for result in try federation.run() + clear.run() { _ = try result.get() }
    let expected = try Self.tensors(clear, site: 0)
    #expect(!expected.isEmpty)
    for site in federation.rows.indices {
      let found = try Self.tensors(federation, site: site)
      #expect(Set(found.keys) == Set(expected.keys))
      for (name, tensor) in expected {
        let other = try #require(found[name])
        let largest = tensor.elements.reduce(Float(0)) { max($0, abs($1)) }
        let difference = zip(tensor.elements, other.elements).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        #expect(
          tensor.shape == other.shape && Double(difference) <= tolerance * Double(largest),
          "\(name): \(difference) of \(largest)")
      }
    }
    records = try SiteHistory(federation.runDirectory(0)).records
    let others = try SiteHistory(clear.runDirectory(0)).records
    #expect(records.map(\.purpose) == others.map(\.purpose))
    for (record, other) in zip(records, others) {
      #expect(record.weight == other.weight && record.validationRows == other.validationRows)
      #expect(Set(record.means.keys) == Set(other.means.keys))
      for (name, mean) in record.means { #expect(abs(mean - (other.means[name] ?? .nan)) <= tolerance, "\(name)") }
    }
    // That the two are not one run, and that there were steps to compare.
    #expect(records[0].model != others[0].model)
    let losses = records.compactMap { $0.means["validation_loss"] }
    #expect(losses.count > 1 && abs(losses[losses.count - 1] - losses[0]) > 100 * tolerance, "\(losses)")
  }

  /// Of the files that a site's model is, by file and name.
  private static func tensors(_ federation: SmallFederation, site: Int) throws -> [String: Tensor<Float>] {
    let folder = federation.runDirectory(site).run.model
    var tensors: [String: Tensor<Float>] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
    where name.hasSuffix(".safetensors") {
      for (tensor, values) in try SafetensorsFile(path: folder.appending(path: name).path).tensors(as: Float.self) {
        tensors["\(name)/\(tensor)"] = values
      }
    }
    return tensors
  }
}
