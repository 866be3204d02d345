/// Where what a program prints goes.
enum StandardOutputPlace: CaseIterable {
  /// To a file, to be looked at.
  case kept
  /// `/dev/full`, which answers every write as a full disk does.
  case fullDevice
  /// Nowhere: the program is started without a standard output.
  case closed
}
