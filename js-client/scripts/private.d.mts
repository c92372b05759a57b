export const PRIVATE: readonly string[];
