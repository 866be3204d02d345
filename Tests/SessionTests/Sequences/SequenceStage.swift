import Foundations
import Foundation
import Numerics
import TestSupport
import Protocol

/// A trainer, a store and an owner who says what he likes.
struct SequenceStage {
  let directory: TemporaryDirectory
  let keys: CurveKeyPair
  let network = InProcessNetwork()
  let id = JobID.random()

  init() throws {
    directory = try TemporaryDirectory()
    keys = try CurveKeyPair.generate()
  }

  func trainer(threads: Int = 1, memoryLimit: Int = 1 << 30, rowStoreLimit: Int = 1 << 24) -> TrainerHost<Float> {
    TrainerHost(
      on: network, store: directory.url("store"), threads: threads, memoryLimit: memoryLimit,
      rowStoreLimit: rowStoreLimit)
  }

  /// A new connection of the one owner.
  func owner() -> RawOwner<Float> {
    RawOwner(network, keys.ownerKey, job: id)
  }

  var folder: URL {
    directory.url("store").appending(path: "jobs").appending(path: id.description)
  }

  func size(_ file: String) -> Int? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: folder.appending(path: file).path)
    return attributes?[.size] as? Int
  }

  var files: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
  }
}
