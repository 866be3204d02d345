import AggregatorRole
import ArgumentParser
import ServerProgram

/// The neutral party's program.
@main
struct Aggregator: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aggregator",
    abstract: "Average the models of several institutions whose rows this machine never sees.",
    discussion: """
      Serves one federation: the charter names its sites by their public keys, and everybody who takes part has the same file.

      What it sees: who takes part and when, the charter, the size of the model, and of everything that sites report the sums over at \
      least `participation.minimum` of them: updates, rows, losses, metrics, sums of columns where `standardize: pooled` asks for them. \
      Never a row, a site's own update, its number of rows or its metrics, unless the charter says `aggregation: plain`: then it sees \
      each site's.
      What it can learn: a sum over sites tells something of each of them, and two sums over cohorts that differ by one site tell about \
      that site; an aggregator in league with all sites but one learns that one's part. A charter whose threshold is not against an \
      aggregator that lies trusts it to follow the protocol.
      The model itself is masked under the sites' group key where the charter asks for it. Such a mask is linear and stays the same: it \
      is obfuscation, not semantic security, and hides nothing from whoever knows the key or enough of the model. Sizes, norms and how far \
      models of two rounds are apart show through it. With `strength: none` the aggregator has the model in the clear.

      Example:
        aggregator keygen keys
        aggregator serve --keys keys --charter charter.yaml --store /scratch/federation --bind tcp://0.0.0.0:5590
        aggregator status --store /scratch/federation
        aggregator verify-log /scratch/federation

      Exit codes: 0 done · 2 usage or charter, an address in use, a store that another aggregator holds · 3 a store of another version, \
      kind or damaged, no such file · 4 keys or permissions · 7 an audit log is broken · 8 disk or memory exhausted · 70 a defect of ours
      """,
    version: Release.version,
    subcommands: [
      ServerKeygenCommand<Release>.self, ServeCommand.self, StatusCommand.self, VerifyLogCommand<Release>.self,
    ])

  static func main() {
    ServerMain.run(Self.self, of: Release.self) { $0 is ServeCommand }
  }
}

/// This program's name and version, as peers and `--version` see them.
enum Release: ServerIdentity {
  static let name = AggregatorConfiguration.program
  static let version = "0.1.0"
  static let defaultAddress = "tcp://127.0.0.1:5590"
  static let storeContents = "the federation's rounds, models and sums"
  static let listeningPeer = "a site that listens (encryptor join --listen)"
  static let useOfPublicKey =
    "The federation's charter names aggregator.pub (`aggregator: {key: …}`), and so pins it at every site."
}
