/// What a path leads to.
enum StoredObject: Sendable {
  case group(StoredGroup)
  case dataset(StoredDataset)
}
