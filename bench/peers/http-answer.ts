/** What both HTTP servers answer: `{"temperature": 21.5}`. */
export const HTTP_PROPERTY = "temperature";
export const HTTP_VALUE = 21.5;
