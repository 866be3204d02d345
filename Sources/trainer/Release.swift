/// This program's name and version, as peers and `--version` see them.
enum Release {
  static let version = "0.1.0"
  static let software = "trainer \(version)"
}
