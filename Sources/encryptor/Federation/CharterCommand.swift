import ArgumentParser
import Cryptography
import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import SecureSums
import SiteRole

struct CharterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "charter", abstract: "Check a federation's charter and print it resolved.",
    discussion: """
      Prints every key with its default filled in, the digest that all parties must have in common, the bits of the sums' fixed point, \
      what the threshold protects from and how many sites may drop out, what differential privacy costs and covers, and which keys the \
      strategy leaves the model. Sends nothing and needs no data.

      Example: encryptor charter jobs/federation/tcga-brca.yaml
      """)

  @Argument(help: "The charter.", completion: .file(extensions: ["yaml", "yml"]))
  var charter: String

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Override a key of the charter (repeatable); then every party must.", valueName: "key=value"))
  var overrides: [String] = []

  func run() throws {
    let plan = try FederationPlan.load(path: charter, overrides: overrides)
    let shape = try CharterKeys(plan)
    let seen = "every site's update" + (plan.hasStatistics ? ", rows and metrics" : ", with the site's noise")
    let sums = plan.roster?.protection.lines ?? ["sums are plain: the aggregator sees \(seen)"]
    let privacy = try plan.charter.federation.privacy.map { target in
      try PrivacyText.lines(plan.charter, target, entries: shape.entries)
    }
    // Everything that can be refused is known before anything is printed.
    let keys = try keys(plan, shape)
    print(plan.charter.yaml())
    print("charter sha256  \(plan.digest.hexadecimal)")
    print("\nbits of the sums\n\(plan.bits.table)")
    print(Self.section("sums", sums))
    if let privacy { print(Self.section("privacy", privacy)) }
    print("\n\(keys)")
  }

  private static func section(_ title: String, _ lines: [String]) -> String {
    "\n\(title)\n" + lines.map { "  \($0)" }.joined(separator: "\n")
  }

  /// What each space of the model is masked with at the aggregator.
  private func keys(_ plan: FederationPlan, _ shape: CharterKeys) throws -> String {
    let strength = plan.charter.federation.masking.strength
    guard strength != .none else { return "masking none: the aggregator has the model in the clear" }
    guard let plans = shape.rows else {
      return
        "masking \(strength.rawValue): the keys follow when sites join, since the number of outputs comes from their labels"
    }
    let table = TextTable(
      header: ["space", "width", "key", "decided by"],
      rows: plans.map { ["\($0.space)", "\($0.width)", $0.group.rawValue, $0.decidedBy] })
    return (["masking at the aggregator, under the sites' group key"] + table.lines).joined(separator: "\n")
  }
}

struct GroupKeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "group-key", abstract: "Make the key that the sites of a federation share.",
    discussion: """
      Writes DIR/group.key (secret, mode 0600). Hand it to every other site over a channel that the aggregator does not see: with it the \
      aggregator could unmask the global model. An existing key is never overwritten.

      Example: encryptor group-key keys
      """)

  @Argument(help: "Directory to write to; made when missing.", completion: .directory)
  var directory: String

  func run() throws {
    let path = URL(filePath: directory).appending(path: "group.key").path
    try SiteFiles.createDirectory(directory)
    try GroupKeyFile(path: path).write(GroupKey())
    print(path)
  }
}
