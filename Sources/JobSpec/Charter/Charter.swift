package import Models
import Foundation

/// What the parties of a federation agree on: every default filled in, every relation between keys checked, paths absolute. Holds no
/// secret.
package struct Charter: Sendable, Equatable {
  package let name: String
  package let aggregator: CharterAggregator
  /// 2 … 1,000; their order is the order of every sum.
  package let sites: [CharterSite]
  package let data: CharterData
  package let task: LearningTask
  /// With `data.classes`, a pretrained model's `classes` is their count.
  package let model: JobModel
  /// Of the sites; its state begins afresh in each round.
  package let optimizer: OptimizerDescription
  /// Over all local steps of the run: step s of round r (both from 0) is step r·S + s of rounds·S, where S is the site's steps a
  /// round; a full step is one.
  package let schedule: ScheduleDescription
  package let train: CharterTraining
  package let federation: FederationSettings

  /// A charter and the bytes whose SHA-256 stands for it.
  package struct Loaded: Sendable, Equatable {
    package let charter: Charter
    /// The file as it is; then a comment line for each override, so that parties with different overrides differ.
    package let bytes: [UInt8]
  }

  /// Reads, parses and resolves a charter's file.
  ///
  /// - Parameters:
  ///   - path: the charter's file; paths in it are relative to its directory.
  ///   - overrides: `key.path=value` arguments; paths in them are relative to the working directory.
  ///   - files: which of the files that it names must be there.
  /// - Throws: `JobSpecError`.
  package static func load(
    path: String, overrides: [String] = [], files: CharterFiles = .all
  ) throws(JobSpecError) -> Loaded {
    let bytes = try JobFile.read(path)
    let working = FileManager.default.currentDirectoryPath
    let directory = (JobPath.absolute(path, in: working) as NSString).deletingLastPathComponent
    let charter = try parse(
      bytes: bytes, source: path, overrides: overrides, directory: directory, workingDirectory: working, files: files)
    return Loaded(charter: charter, bytes: overrides.reduce(bytes) { $0 + Array("\n# --set \($1)".utf8) })
  }

  /// Parses and resolves a charter's text.
  ///
  /// - Parameters:
  ///   - bytes: any bytes, at most 1 MiB.
  ///   - source: how errors name the text.
  ///   - directory: absolute; what paths written in the charter are relative to.
  ///   - workingDirectory: absolute; what paths given as overrides are relative to.
  /// - Throws: `JobSpecError` for the first thing that is wrong, with its line and column.
  package static func parse(
    bytes: [UInt8], source: String = "charter", overrides: [String] = [], directory: String, workingDirectory: String,
    files: CharterFiles = .none
  ) throws(JobSpecError) -> Charter {
    try JobSpecification.parse(bytes: bytes, source: source, overrides: overrides, schema: .charter)
      .resolvedCharter(directory: directory, workingDirectory: workingDirectory, files: files)
  }

  /// The place of a site in every sum.
  package func index(ofSite name: String) -> Int? { sites.firstIndex { $0.name == name } }

  /// Refuses a public key that stands in two of the files: one party could then speak for two.
  ///
  /// - Parameters:
  ///   - keys: of the sites, in the charter's order, as read from their files.
  ///   - aggregator: the aggregator's.
  /// - Throws: `contradiction`.
  package func checkKeys<Key: Hashable>(sites keys: [Key], aggregator key: Key) throws(JobSpecError) {
    var owners = [key: "the aggregator"]
    for (site, key) in zip(sites, keys) {
      if let other = owners.updateValue("`\(site.name)`", forKey: key) {
        throw JobSpecError(
          .contradiction(
            "\(other) and `\(site.name)` have the same public key (\(site.key)); each needs a key of its own"))
      }
    }
  }
}

package struct CharterAggregator: Sendable, Equatable {
  /// tcp://HOST:PORT.
  package let address: String
  /// Absolute path of the file with its public key.
  package let key: String
}

package struct CharterSite: Sendable, Equatable {
  package let name: String
  /// Absolute path of the file with its public key.
  package let key: String
}

/// What the sites' data have in common.
package struct CharterData: Sendable, Equatable {
  /// Names of the features in the model's order, each once. Empty for tokens, and where they stand in a file that was not read.
  package let columns: [String]
  /// Absolute path of the file that the names stand in. The charter's bytes say nothing of its content.
  package let columnsFile: String?
  /// The label of each class id, each once; empty where the task is not classification.
  package let classes: [String]
  /// `none` for tokens.
  package let standardize: FeatureStandardization
}

/// Over which rows features get mean 0 and deviation 1.
package enum FeatureStandardization: String, Sendable, CaseIterable {
  /// The training rows of all sites.
  case pooled
  /// A site's own training rows.
  case site
  case none
}

/// How sites train, beside what the federation says of it.
package struct CharterTraining: Sendable, Equatable {
  /// Rows a batch; not used by a full step.
  package let batch: Int
  /// Rows computed at once, at most `batch`.
  package let microBatch: Int
  package let seed: Int
  /// By the validation metric pooled over the sites.
  package let keep: KeepPolicy
  /// Whether blocks of a transformer are computed again for the backward pass.
  package let recompute: Bool
  /// Of the sites' local training; what the sites and the aggregator exchange is the same in all.
  package let precision: TrainingPrecision
}

/// Which of the files that a charter names must be there when it is loaded.
package struct CharterFiles: OptionSet, Sendable {
  package let rawValue: Int

  package init(rawValue: Int) {
    self.rawValue = rawValue
  }

  /// The files of public keys.
  package static let keys = CharterFiles(rawValue: 1)
  /// `data.columns_file`, which is then read.
  package static let columns = CharterFiles(rawValue: 2)
  /// The directory of a pretrained model.
  package static let model = CharterFiles(rawValue: 4)

  package static let all: CharterFiles = [.keys, .columns, .model]
  package static let none: CharterFiles = []
}
